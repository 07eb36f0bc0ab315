"""`radflow init`: from four answers to a commented config that runs"""
