package generate

import (
	"strings"

	"starling/conf"
)

// Quote writes a word so that the lexer reads the same word.
func Quote(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\r\n;{}\"'\\#$") {
		return word
	}
	return "\"" + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + "\""
}

// Print writes nodes as text, one directive or brace per line, and stores the lines in the nodes.
func Print(nodes []*conf.Node) string {
	p := printer{line: 1}
	p.print(nodes, "")
	return p.text.String()
}

type printer struct {
	text strings.Builder
	line int
}

func (p *printer) write(text string) {
	p.text.WriteString(text)
	p.line += strings.Count(text, "\n")
}

func (p *printer) print(nodes []*conf.Node, indent string) {
	for _, n := range nodes {
		p.write(indent + Quote(n.Name))
		for _, word := range n.Words {
			p.write(" " + Quote(word))
		}
		n.Line = p.line
		if !n.Opens {
			p.write(";\n")
			continue
		}
		p.write(" {\n")
		p.print(n.Block, indent+"    ")
		n.EndLine = p.line
		p.write(indent + "}\n")
	}
}
