"""`radflow cost`: what a run would cost on other hardware, in hours, judge calls and money"""
