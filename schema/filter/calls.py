"""The functions of expressions: their names and how many arguments they take (a method's receiver included)."""

FUNCTIONS = {"has": 1, "size": 1, "string": 1, "int": 1, "double": 1, "timestamp": 1}
METHODS = {"startsWith": 2, "endsWith": 2, "contains": 2, "size": 1}
