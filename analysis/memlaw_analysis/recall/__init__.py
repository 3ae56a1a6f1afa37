"""Which tokens are recalled: the transition at p = 0.5, its dynamics, and methods compared."""
