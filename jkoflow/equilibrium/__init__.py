"""Where noisy flows end: the Gibbs fixed point and its certificate."""
