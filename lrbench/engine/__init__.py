"""The engine: trains the runs of a pack together, as lanes of one compiled program.

Axis names: `device` a device of the mesh; `chunk` the chunks of a pack on one device; `lane` the lanes of a chunk, all of
one seed; `step` the optimizer steps; `evaluation` the evaluations of a run; `row` the rows of the schedule table.
"""
