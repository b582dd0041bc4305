"""gradcam-eval: benchmark Grad-CAM and its relatives on Keras 3."""
