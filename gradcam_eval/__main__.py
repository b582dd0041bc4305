"""`python -m gradcam_eval` is the `gradcam-eval` command."""

from gradcam_eval.cli import main

if __name__ == "__main__":
    main()
