"""Plain PyTorch modules that nobody wrote for the exporter, in the shapes that tutorials teach.

`checkpoint` builds a module and fills it, `understand` finds out how it is called, `choose` knows three ways to export
it and `trial` takes the first that gives the module's own answers; `source` puts what was found into a `Source`.
"""
