"""The parts of the experiment `gallery`: where optimizers go on surfaces of two coordinates, each at its best rate.

`paths` takes the runs at the best rates from the study, says which of them reach the minimum, and thins out the points of their
paths; `drawing` draws a picture per problem, and `page` writes all of them as one HTML page that loads nothing, from the template
beside it. Only `lrbench.experiments.gallery` imports them; read `paths` first.
"""
