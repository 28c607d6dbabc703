package conf

// Node is one directive as read: a name, its words after quotes and escapes, and the nodes of its block.
type Node struct {
	Name  string
	Words []string
	// File and Line are the location in nginx's messages: that of the closing ";" or "{".
	File string
	Line int
	// Opens marks a block, even an empty one; EndLine is the line of its "}".
	Opens   bool
	Block   []*Node
	EndLine int

	order, endOrder int // positions in load order, through includes
}

// File is one configuration file as loaded, for -T.
type File struct {
	Path  string
	Bytes []byte
}

// Tree is a whole configuration as read.
type Tree struct {
	Path  string // of the main file
	Nodes []*Node
	Files []File // each file once, in load order
	// Problem is the error that stopped the reading, or nil. The nodes before it are kept, because problems earlier in
	// the text are reported first.
	Problem *Problem
	// Unread are the problems of includes whose files could not be read. nginx stops at the first; here the rest is
	// read all the same, so that everything that is wrong can be told at once.
	Unread Problems
}
