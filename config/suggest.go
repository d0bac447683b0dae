package config

import (
	"fmt"
	"maps"
	"slices"
)

// suggest says which known word was probably meant.
func suggest(word string, known []string) string {
	best, distance := "", len(word)
	for _, k := range known {
		if d := editDistance(word, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" || distance > max(2, len(best)/2) {
		return "see `overlayd up --help` for those that exist"
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// editDistance is the number of bytes to insert, delete or replace to turn a into b (Levenshtein 1966).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
