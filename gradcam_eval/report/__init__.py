"""Pictures, tables and the HTML page of a results folder: no model, no TensorFlow."""
