"""De-identification of report text by rules, for files and before anything is sent to another machine"""
