"""`radflow doctor`: can this machine run this config? Small checks, each with what to do when it says no"""
