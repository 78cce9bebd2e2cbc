"""Do the synthetic rows give away who was in the training rows?"""
