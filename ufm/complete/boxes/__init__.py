"""Branch and bound over boxes in outward rounded floating point: what is discarded holds no critical point.

What is enclosed: gradient and Hessian of the reduced problem (`ufm/complete/reduction.py`) in its coordinates; then

 * the *inner* variables y as functions of the outer ones o: Krawczyk's operator for F_y = 0, for every o of the box;
 * the *outer* equations: F_o - M F_y, M = F_oy F_yy^-1 at the middle, in mean-value form over the box and the enclosure
   of y. It is 0 at critical points, and nearly free of y. An interval of it without 0 discards the box; times an
   approximate inverse of the Schur complement it contracts the box.

Boxes narrower than `narrowest` that are left are handed back; balls decide about them (`ufm/complete/balls.py`).
"""
