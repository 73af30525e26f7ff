"""Access that the policies of a stage give, in a canonical form in which two sides can be compared.

The comparison is sound in one direction: what it calls covered is covered, and what it cannot prove counts as
wider. It follows IAM's evaluation logic and policy grammar (IAM User Guide, "Policy evaluation logic" and
"Grammar of the IAM JSON policy language").
"""
