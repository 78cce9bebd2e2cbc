"""Could each synthetic row exist?"""
