"""Alarms, dashboard and log metrics of a stage."""
