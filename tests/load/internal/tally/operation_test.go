package tally

import "testing"

func taken(operation *Operation, numbers ...int64) Counts {
	for _, number := range numbers {
		operation.Take(number, Place{}, 0)
	}
	return operation.Counts()
}

func TestInOrderNothingIsWrong(t *testing.T) {
	operation := &Operation{}
	found := taken(operation, 1, 2, 3)
	if found.Lost != 0 || found.Repeated != 0 || operation.Missing(3) != 0 {
		t.Fatal(found)
	}
}

func TestAHoleIsLost(t *testing.T) {
	if found := taken(&Operation{}, 1, 2, 5); found.Lost != 2 || found.Repeated != 0 {
		t.Fatal(found)
	}
}

func TestTheFirstOnesCount(t *testing.T) {
	if found := taken(&Operation{}, 3); found.Lost != 2 {
		t.Fatal(found)
	}
	if found := taken(&Operation{Anywhere: true}, 3, 4); found.Lost != 0 {
		t.Fatal(found)
	}
}

func TestTheLastOnesAreMissing(t *testing.T) {
	operation := &Operation{}
	if taken(operation, 1, 2); operation.Missing(4) != 2 {
		t.Fatal(operation.Missing(4))
	}
}

func TestAgainIsRepeated(t *testing.T) {
	if found := taken(&Operation{}, 1, 2, 2, 3); found.Repeated != 1 || found.Lost != 0 {
		t.Fatal(found)
	}
}

func TestOutOfOrderIsBoth(t *testing.T) {
	if found := taken(&Operation{}, 1, 3, 2); found.Lost != 1 || found.Repeated != 1 {
		t.Fatal(found)
	}
}

func TestPlaces(t *testing.T) {
	operation := &Operation{}
	operation.ByPlaces()
	operation.Take(1, Place{0, 4}, 0)
	operation.Take(2, Place{1, 4}, 0)
	operation.Take(2, Place{1, 7}, 0) // a retry of the publisher: a place of its own
	if found := operation.Counts(); found.Repeated != 0 || operation.Missing(3) != 1 {
		t.Fatal(found, operation.Missing(3))
	}
	operation.Take(3, Place{1, 7}, 0)
	if found := operation.Counts(); found.Repeated != 1 || operation.Missing(3) != 1 {
		t.Fatal(found, operation.Missing(3))
	}
}
