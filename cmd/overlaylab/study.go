package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"overlayd/internal/lab/study"
)

// studies reports whether files are studies: all or none are.
func studies(files []string) (bool, error) {
	n := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return false, fmt.Errorf("cannot read the file: %w", err)
		}
		if study.Is(content) {
			n++
		}
	}
	if n != 0 && n != len(files) {
		return false, errors.New("some of the files are studies, with a matrix, and some are scenarios: run them one kind at a time")
	}
	return n != 0, nil
}

// runStudies runs studies one after another.
func runStudies(ctx context.Context, files []string, o study.Options, plots, format string, out io.Writer) error {
	for _, file := range files {
		report, err := study.Run(ctx, file, o)
		if err != nil {
			return err
		}
		if plots != "" {
			if err := report.Plot(plots); err != nil {
				return err
			}
		}
		if format == formatJSON {
			if err := json.NewEncoder(out).Encode(report); err != nil {
				return err
			}
			continue
		}
		report.Print(out)
	}
	return nil
}
