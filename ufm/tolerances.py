"""Every numeric tolerance that is a decision: what it is relative to, and why it has its size.

"Own units" are the model rescaled so that both decays are equal and targets have length 1 (`ufm/solve/units.py`).
Options of a command (`--tolerance`) are in its setting; step lengths and limits of one algorithm stand beside it.
"""

# How far a search goes.
MINIMISER_GRADIENT = 1e-8
"""|gradient| at which `minimise` stops unless told: the square root of float64's rounding, where values settle."""
CRITICAL_GRADIENT = 1e-11
"""|gradient| at which `find_critical_points` stops: near what rounding leaves, since spectra are read off there."""
RESOLVED_GRADIENT = 1e-10
"""|gradient| over curvature is a distance: ten times `CRITICAL_GRADIENT`, to be safe."""
EXACT_GRADIENT = 1e-12
"""|gradient|, own units, of the minimisation that stands for a prediction: well below what end points are held to."""
WINDOW_SEARCH_GRADIENT, WINDOW_GRADIENT = 1e-10, 1e-9
"""|gradient| at which the search for states of the focal window stops, and up to which they count: a digit to spare."""
CODE_GRADIENT = 1e-7
"""|gradient| of softmax codes at one temperature: the next temperature, or linear programmes, go on from there."""
TERMINAL_GRADIENT, TERMINAL_CHANGE = 1e-9, 1e-12
"""Largest entry of a net's gradient, and of its step, at which torch's L-BFGS stops: so small that its steps decide."""
EIGENPAIR = 1e-10
"""Residual of an eigenpair, relative to the largest |eigenvalue|: below `ZERO_EIGENVALUE`, above rounding."""
LOG_NORM, LOG_TEMPERATURE = 1e-14, 1e-13
"""Roots in logarithms, absolute: the relative error of a norm, and of a temperature (less exact: sums over samples)."""

# Which singular values and eigenvalues are zero.
RANK_TOLERANCE = 1e-6
"""Singular values up to this times max(1, the largest) are zero: above how far a point is from a critical one."""
END_POINT_RANK = 1e-4
"""The same at end points of `minimise`, which are less exact: a gradient of 1e-8 over a curvature of 1e-3 is 1e-5."""
ZERO_EIGENVALUE = 1e-8
"""Relative to the largest |eigenvalue|, up to which one is zero: rounding leaves 1e-15 of it, an inexact point more."""
EIGENVALUE_ROUNDING = 1e-12
"""Relative to the largest |eigenvalue|: what rounding leaves of a curvature along one direction, with room."""
NEGATIVE_CURVATURE = 1e-9
"""Own units: a curvature below minus this is negative, one above it may be a flat direction's and rounding."""
LOCAL_MINIMUM = -1e-7
"""Own units: smallest eigenvalue from which on an end point is a minimum; rotations are flat, end points inexact."""
LEAST_CURVATURE = 1e-7
"""Own units: where curvatures are smaller a search to `CRITICAL_GRADIENT` leaves points inexact by more than 1e-4."""
RESOLVED_EIGENVALUE = 1e-3
"""Residual of Lanczos, relative to the smallest eigenvalue: three digits of a condition number are enough."""
PSEUDO_INVERSE = 1e-10
"""Singular values left out of a pseudo-inverse, relative to the largest: rounding of sums of many products."""

# Which values and points are the same.
SAME_VALUE = 1e-8
"""Objectives of end points, relative to f(0), the model's unit of value, or 1: far more than their error, which is
quadratic in the gradient."""
SAME_ORBIT_VALUE = 1e-9
"""Objectives in an atlas, relative to max(1, |objective|): its points are searched further and polished."""
SAME_STATE = 1e-6
"""Objectives where nothing is predicted, relative to f(0): at a kink a start stops a little early."""
SAME_CLOSED_FORM = 1e-12
"""Values of closed forms, relative to the largest: sums of few terms, each exact to some 1e-15."""
SAME_LOGITS = 1e-6
"""Logits of points in an atlas, relative to max(1, largest logit): a point is exact to 1e-11 over its curvature."""
SAME_MARGIN = 1e-6
"""Margins of a softmax code, absolute (vectors are unit): a class that exceeds the least by less has no room."""
SAME_LEVELS = 1e-5
"""t and beta, absolute: where they are closer, the two levels of a state are one, and it is the ETF."""
VANISHES = 1e-7
"""t and beta, absolute, up to which they are zero: squares of what is searched, so that a search leaves them small."""
ZERO_LOGITS = 1e-6
"""Logits, in units of the model's own: a minimiser with smaller ones is the zero solution."""
NO_LOGITS = 1e-9
"""Logits of a predicted minimum, absolute: a closed form's are zero or far larger, a search's stop near there."""
SMALL_LOGITS = 1e-4
"""Logits and margins of a scan's end points, own units: near a threshold a start stops before they have vanished."""
NEAR_GEOMETRY = 1e-3
"""Distance (relative) to a geometry that counts as reached by a scan's end point: NC2, and the square root of NC1."""

# What verify allows of an end point, at least.
VALUE = 1e-10
"""Objective less predicted, relative to f(0): quadratic in the gradient, hence only rounding of a sum over samples."""
GEOMETRY = 1e-6
"""Logits and metrics of collapse, relative: linear in the distance from the minimiser, hence larger."""
DUALITY_GAP = 1e-7
"""Gap of the dual certificate, relative to f(0): linear in that distance too, and less than logits are off."""
PROOF_GAP = 1e-8
"""Largest gap, relative to f(0), with which a minimisation's result is proved up to rounding."""

# What rounding does to a loss, a threshold, a code.
LOSS_ROUNDING = 1e-10
"""Relative to the largest loss (at least 1): the same samples again, in another order or company."""
LOSS_CLAIM_ROUNDING = 1e-9
"""Relative to the largest loss or slope: differences of several values, for which a claim is to be refused."""
BATCHED_LOSS = 1e-12
"""Relative: one parameter per start against one number, the same operations in another order."""
DERIVATIVE = 1e-5
"""A derivative against differences, relative to the largest of any sample, where these are trusted: a wrong formula
is wrong by more, differences over a step of 1e-5 by less."""
SAME_SLOPE = 1e-2
"""Two slopes of one function in float64, relative: in float32 a tiny step misses by far more."""
VALUE_NOISE = 1e-15
"""Rounding of a loss's value, relative to the largest."""
NO_SLOPE = 1e-6
"""Slopes of the loss of a margin below which lost samples are taken to have none."""
DISTRIBUTION_EPS = 1e3
"""Times eps of the dtype: a sum over at most some thousand probabilities is 1 up to this."""
THRESHOLD_ROUNDING = 1e-12
"""Relative distance from a threshold within which nothing is said: thresholds are floating-point numbers."""
NEAR_THRESHOLD = 1e-3
"""Relative distance to zero's threshold below which the curvature at the minimiser all but vanishes."""
NO_BIAS_GRADIENT = 1e-9
"""Gradient of the bias at zero, relative to the largest of the logits: rounding of a mean over samples."""
HULL_DISTANCE = 1e-6
"""Between the two bounds on a distance to a hull, absolute (the longest is 2): closer ones cost steps for nothing."""
LEAST_GAIN = 1e-15
"""Margin, absolute: an improvement below it is rounding."""

# Certificates by the distance from an orbit (`ufm/curvature/orbit_bound.py`), in floating point.
ORBIT_RANK = 1e-6
"""Singular values of a stored point, relative to the largest (at least 1): smaller ones are empty columns, cut off."""
SPECTRUM_ROUNDING = 1e-11
"""Of an eigenvalue, relative to the largest: eigenvalue routines are off by some eps times the size."""
ENTRY_ROUNDING = 1e-13
"""Of each entry of the gradient of a sample's loss, absolute: entries are of the order of 1."""

# Proofs in ball arithmetic: too small a box misses the point, too large a one proves nothing; neither proves falsely.
BOX = 1e-12
"""Half the width of the box around a point in which one is proved to lie: about what a search leaves."""
GRADIENT_RADIUS = 1e-9
"""Relative to the curvature: a wider enclosure of the gradient does not tell critical points from others."""
