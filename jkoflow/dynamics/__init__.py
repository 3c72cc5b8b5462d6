"""What the flow is compared with: stochastic gradient descent of particles."""
