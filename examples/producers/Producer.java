// Adds up a file of amounts, one whole number a line, and reports it as a job over HTTP: java Producer.java JOB FILE
// The gateway checks the events, finds the job's partition and appends them.
import java.io.IOException;
import java.net.URI;
import java.net.http.*;
import java.nio.file.*;
import java.time.Duration;
import java.util.*;

public class Producer {
    static final String URL = System.getenv().getOrDefault("STREAMPROC_URL", "http://127.0.0.1:8700");
    static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    static final String SRC = UUID.randomUUID().toString(); // names this run; seq numbers what it sends
    static String job, pending = "";
    static int seq;

    /** Fields are written with ' for ", since Java has no JSON of its own. */
    static void report(String type, String fields, Object... values) throws InterruptedException {
        var event = "{'job':'%s','type':'%s','src':'%s','seq':%s,".formatted(job, type, SRC, ++seq) + fields + "}\n";
        pending += event.replace('\'', '"').formatted(values);
        flush();
    }

    /** Sends what isn't confirmed yet, a line each. What arrives twice counts once. */
    static void flush() throws InterruptedException {
        var request = HttpRequest.newBuilder(URI.create(URL + "/v1/events")).timeout(Duration.ofSeconds(2))
            .header("Content-Type", "application/x-ndjson").POST(HttpRequest.BodyPublishers.ofString(pending)).build();
        try {
            var reply = CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
            if (reply.statusCode() != 201) throw new IOException(reply.body());
            pending = "";
        } catch (IOException error) {
            System.err.println("not reported yet: " + error);
        }
    }

    static long add(List<String> amounts) throws InterruptedException {
        report("job.counted", "'indicator':'amounts','total':%s", amounts.size());
        long sum = 0, told = 0, due = System.currentTimeMillis() + 100;
        for (int done = 1; done <= amounts.size(); done++) {
            if (!amounts.get(done - 1).matches("-?\\d{1,18}"))
                throw new NumberFormatException("line %d is not a whole number".formatted(done));
            sum += Long.parseLong(amounts.get(done - 1));
            if (done < amounts.size() && System.currentTimeMillis() < due) continue; // ten reports a second
            report("stage.progressed", "'stage':'Add','done':%s,'total':%s", done, amounts.size());
            report("job.counted", "'indicator':'amounts','done':%s", done - told);
            told = done;
            due = System.currentTimeMillis() + 100;
        }
        report("stage.finished", "'stage':'Add'");
        return sum;
    }

    public static void main(String[] args) throws InterruptedException {
        job = args[0];
        var status = 1;
        try {
            var stages = "[{'name':'Read','weight':1},{'name':'Add','weight':4}]";
            report("job.started", "'kind':'sum','title':'Sum of amounts','stages':" + stages);
            report("stage.started", "'stage':'Read'");
            var amounts = Files.readAllLines(Path.of(args[1]));
            report("stage.finished", "'stage':'Read'");
            report("job.finished", "'result':{'sum':%s}", add(amounts));
            status = 0;
        } catch (IOException | NumberFormatException error) {
            var said = error.getMessage().replaceAll("[\"'\\\\\\p{Cntrl}]", "?");
            report("job.failed", "'error':{'type':'%s','detail':'%s'}", error.getClass().getSimpleName(), said);
        }
        for (int tries = 0; tries < 5 && !pending.isEmpty(); tries++, flush()) Thread.sleep(1000);
        System.exit(status);
    }
}
