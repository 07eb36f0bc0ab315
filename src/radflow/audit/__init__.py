"""What a metric or a reward sees: reports with known errors and with harmless changes, scored"""
