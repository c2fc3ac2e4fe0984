"""CellProfiler's measurements, by its own definitions, compiled: one module a group of features.

`objects` holds what every group reads; a group is one function of objects, images and its module's settings. Which
columns agree with CellProfiler 4.2.8.1, and how far, stands in docs/agreement.md.
"""
