"""Are groups treated as the real rows treat them?"""
