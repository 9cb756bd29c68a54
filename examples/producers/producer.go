// Adds up a file of amounts, one whole number a line, and reports it as a job over HTTP: go run producer.go JOB FILE
// The gateway checks the events, finds the job's partition and appends them.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

type fields map[string]any

var client, pending = http.Client{Timeout: 2 * time.Second}, bytes.Buffer{}
var src, seq = fmt.Sprintf("%x.%x", os.Getpid(), time.Now().UnixNano()), 0 // src names this run, seq what it sends

func report(kind string, event fields) {
	seq++
	event["job"], event["type"], event["src"], event["seq"] = os.Args[1], kind, src, seq
	json.NewEncoder(&pending).Encode(event) // a line of NDJSON
	flush()
}

// flush sends what isn't confirmed yet. What arrives twice counts once.
func flush() {
	url, given := os.LookupEnv("STREAMPROC_URL")
	if !given {
		url = "http://127.0.0.1:8700"
	}
	reply, err := client.Post(url+"/v1/events", "application/x-ndjson", bytes.NewReader(pending.Bytes()))
	if err != nil || reply.StatusCode != http.StatusCreated {
		log.Println("not reported yet:", err, reply)
		return
	}
	reply.Body.Close()
	pending.Reset()
}

func add(file string) (sum int, err error) {
	report("stage.started", fields{"stage": "Read"})
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	report("stage.finished", fields{"stage": "Read"})
	amounts, told, due := bytes.Fields(content), 0, time.Now().Add(time.Second/10)
	report("job.counted", fields{"indicator": "amounts", "total": len(amounts)})
	for done, n := 1, 0; done <= len(amounts); done++ {
		if json.Unmarshal(amounts[done-1], &n) != nil {
			return 0, fmt.Errorf("line %d is not a whole number", done)
		}
		sum += n
		if done == len(amounts) || time.Now().After(due) { // ten reports a second
			report("stage.progressed", fields{"stage": "Add", "done": done, "total": len(amounts)})
			report("job.counted", fields{"indicator": "amounts", "done": done - told})
			told, due = done, time.Now().Add(time.Second/10)
		}
	}
	report("stage.finished", fields{"stage": "Add"})
	return sum, nil
}

func main() {
	stages := []fields{{"name": "Read", "weight": 1}, {"name": "Add", "weight": 4}}
	report("job.started", fields{"kind": "sum", "title": "Sum of amounts", "stages": stages})
	if sum, err := add(os.Args[2]); err == nil {
		report("job.finished", fields{"result": fields{"sum": sum}})
	} else {
		report("job.failed", fields{"error": fields{"type": fmt.Sprintf("%T", err), "detail": err.Error()}})
		defer os.Exit(1)
	}
	for tries := 0; pending.Len() > 0 && tries < 5; tries++ {
		time.Sleep(time.Second)
		flush()
	}
}
