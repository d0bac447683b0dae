// Package lab tries a network out: it builds the sites of a scenario, runs real overlayd processes in them, lets happen
// what is to happen, and measures as an application would.
package lab
