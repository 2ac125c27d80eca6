"""Rules that do something and take a while: run programs, analyse tables, handle files, use server tools, work as an agent.

Their plans make the steps one by one as the work is done. Rules that only answer stand one folder up.
"""
