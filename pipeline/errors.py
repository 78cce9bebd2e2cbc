"""The one distinction that exit codes make: the user's mistake, or ours."""


class Mistake(ValueError):
    """Something that the user can put right: bad input, a bad setting, a place that is out of reach.

    Its text is one plain sentence: what was got, what was wanted, and where. The command line ends with code 2.
    """
