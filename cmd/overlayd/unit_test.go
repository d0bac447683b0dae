package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"overlayd/internal/cli"
)

// TestUnitDoesNotRestartWhatAPersonMustPutRight compares the unit with the statuses that the daemon ends with.
func TestUnitDoesNotRestartWhatAPersonMustPutRight(t *testing.T) {
	text, err := os.ReadFile("../../scripts/overlayd.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		fmt.Sprintf("RestartPreventExitStatus=%d %d", cli.ExitUsage, cli.ExitConfig),
		"Restart=on-failure",
		"ExecStart=/usr/local/bin/overlayd up --create-network=never",
		"ExecReload=/bin/kill -HUP $MAINPID",
		"RequiresMountsFor=/var/lib/overlayd",
	} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("the unit lacks %s", line)
		}
	}
}

// TestReadmeListsTheExitStatuses compares README.md with package cli.
func TestReadmeListsTheExitStatuses(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{
		cli.ExitOK, cli.ExitFailed, cli.ExitNotRunning, cli.ExitPermission, cli.ExitUnknown, cli.ExitNoPath, cli.ExitUsage, cli.ExitConfig,
	} {
		if !strings.Contains(string(text), fmt.Sprintf("\n| %d | ", status)) {
			t.Errorf("README.md lacks exit status %d", status)
		}
	}
}
