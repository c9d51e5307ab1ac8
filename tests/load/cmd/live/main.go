// Command live is the load generator: it holds subscriptions open, publishes, cuts, and counts. It is told what to do by
// one JSON object a line on its standard input and answers each with one line on its standard output.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	out := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	generator := newGenerator()
	for lines.Scan() {
		answer, err := generator.do(lines.Bytes())
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		if err := out.Encode(answer); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
