"""What the gateway tells of its state, with units: alarms and dashboard are made of these names."""

UNITS = {
    "Instances": "Count",
    "EngineReady": "Count",
    "RequestsInside": "Count",
    "RequestsWaiting": "Count",
    "AdapterLoadsWaiting": "Count",
    "RequestsRefused": "Count",
    "ServerErrors": "Count",
    "WrongAdapters": "Count",
    "AdapterLoadFailures": "Count",
    "AdapterEvictions": "Count",
    "AdapterCacheBytes": "Bytes",
    "AdapterCacheAdapters": "Count",
    "DiskFreeBytes": "Bytes",
    "RegistryStaleAnswers": "Count",
    "RegistryErrors": "Count",
}
