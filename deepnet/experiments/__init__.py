"""Experiments on statements of papers about trained networks, one file each: its runs, and the statements.

Rule (`statement.py`) and bounds were written down before the runs, with these exceptions. After a first look were
added: NC1 in the quotient form beside the trace form, tau = 5 beside 30, calibration after temperature scaling, and
runs three times as long where the decay has to act (squared error, further layers). After a review of the first table
were changed: NC1 of the fixed simplex at equal dimensions, the minimiser's margin at each tau in place of the best
code's, the simplex by its worst pair, orthogonality by |cosine|, and imbalance with the model's own decays and runs six
times as long. Later the runs behind closed forms, codes and ranks, which are about stationary points, got a terminal
phase in place of more epochs; statements and bounds stayed.

Measures are taken at every fourth epoch, so that numbers of epochs move in steps of four. All seeds share one test set.
"""
