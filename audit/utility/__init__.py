"""Do the synthetic rows serve the task that the real ones serve?"""
