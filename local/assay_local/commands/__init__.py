"""The commands of `assay`, a module each: what it is asked, what it says of itself, and where its work begins.

`register` adds it to the parser; nothing heavy is imported before it is called.
"""
