"""What the experiment `deepobs` is made of.

In this order: `rows` trains and compares with the published rows, `expected` is the loss over all orders in closed form, `definitions` has what lrbench
says of each table, `findings` the numbers, `pictures` the plots.
"""
