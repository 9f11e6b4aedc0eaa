package fastagi

// Open is open, for the fuzz test.
var Open = open
