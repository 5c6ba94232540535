import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.ValueAndTimestamp;
import org.apache.kafka.streams.state.WindowStore;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.Pipeline;

/**
 * Each event: features of the fullest window that it falls into, a score, and the vector for Redis.
 * Vectors go out once in 100 ms in one pipeline, the newest of each entity.
 */
final class Scorer implements FixedKeyProcessor<String, Reading, byte[]> {
    private static final long STEP = GaugeJob.STEP.toMillis(), BACK = GaugeJob.SIZE.toMillis() - STEP;

    private final HalfSpaceTrees trees = new HalfSpaceTrees(2 * Statistics.FIELDS, 1);
    private final double[] inputs = new double[2 * Statistics.FIELDS];
    private final Map<String, Statistics> newest = new HashMap<>();
    private FixedKeyProcessorContext<String, byte[]> context;
    private WindowStore<String, ValueAndTimestamp<Statistics>> windows;
    private Jedis redis;

    @Override
    public void init(FixedKeyProcessorContext<String, byte[]> context) {
        this.context = context;
        windows = context.getStateStore(GaugeJob.WINDOWS);
        redis = new Jedis("127.0.0.1", Integer.parseInt(System.getenv("BENCH_REDIS_PORT")));
        context.schedule(Duration.ofMillis(100), PunctuationType.WALL_CLOCK_TIME, now -> serve());
    }

    @Override
    public void process(FixedKeyRecord<String, Reading> event) {
        long ts = event.value().ts();
        ValueAndTimestamp<Statistics> window = windows.fetch(event.key(), ts / STEP * STEP - BACK);
        if (window == null) { // later than the grace
            return;
        }
        Statistics statistics = window.value();
        statistics.inputs(inputs);
        double score = trees.scoreThenLearn(inputs);
        newest.put(event.key(), statistics);
        String text = "{\"id\":\"" + event.key() + "\",\"ts\":" + ts + ",\"score\":" + score + "}";
        context.forward(event.withValue(text.getBytes(StandardCharsets.ISO_8859_1)));
    }

    private void serve() {
        if (newest.isEmpty()) {
            return;
        }
        try (Pipeline pipeline = redis.pipelined()) {
            newest.forEach((entity, statistics) -> pipeline.set((GaugeJob.RUN + ":" + entity).getBytes(), statistics.vector()));
        }
        newest.clear();
    }

    @Override
    public void close() {
        redis.close();
    }
}
