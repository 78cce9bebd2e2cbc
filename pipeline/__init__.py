"""The pipeline: specification, stages, workspace, releases and the command line."""
