package usage

import (
	"os"
	"testing"
	"time"
)

func TestWhatThisProcessUsesIsRead(t *testing.T) {
	before, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	after := before
	for after < before+20*time.Millisecond { // reading it takes time, too
		if after, err = CPU(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	bytes, err := Memory(os.Getpid())
	if err != nil || bytes < 1<<20 {
		t.Errorf("memory %d bytes, %v; want more than a MB", bytes, err)
	}
}

func TestAProcessThatIsNotThereIsAnError(t *testing.T) {
	if _, err := CPU(-1); err == nil {
		t.Error("CPU of no process")
	}
	if _, err := Memory(-1); err == nil {
		t.Error("memory of no process")
	}
}
