"""What leaves a run: models as folders of their own, and reports for given images in hospital formats"""
