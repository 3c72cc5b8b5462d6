"""The laboratory: a flow on the line, and its judge, by sliders in the browser (`jkoflow lab`)."""
