"""What a metric or a reward sees: reports with known errors and harmless changes, scored against the original"""
