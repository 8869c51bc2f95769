"""Pages and JSON: each view reads input, calls one function, and answers.

That function is a service, or a model's where one query is all that is needed. Pages and API share the modules here
and do not import each other.
"""
