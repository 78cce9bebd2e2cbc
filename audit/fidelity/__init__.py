"""Do the synthetic rows look like the real ones?"""
