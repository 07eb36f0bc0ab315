"""`radflow watch`: where a run is, from the files in its folder alone"""
