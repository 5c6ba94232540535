import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.Stores;

/**
 * The job in Kafka Streams: a hopping window in memory behind a record cache, its changelog on, a score per event in Java.
 * In its favour: the score reads the window through the cache, so the changelog gets one record for many updates; no drift statistics.
 */
public final class GaugeJob {
    static final String WINDOWS = "windows";
    static final Duration SIZE = Duration.ofSeconds(60), STEP = Duration.ofSeconds(10), GRACE = Duration.ofSeconds(30);
    static final String RUN = System.getenv("BENCH_RUN");

    private GaugeJob() {}

    public static void main(String[] arguments) {
        Serde<Reading> readings = Serdes.serdeFrom((topic, reading) -> null, Reading.DESERIALIZER);
        StreamsBuilder builder = new StreamsBuilder();
        KStream<String, Reading> events = builder.stream(
            System.getenv("BENCH_EVENTS"),
            Consumed.with(Serdes.String(), readings).withTimestampExtractor((record, before) -> ((Reading) record.value()).ts()));
        events
            .groupByKey(Grouped.with(Serdes.String(), readings))
            .windowedBy(TimeWindows.ofSizeAndGrace(SIZE, GRACE).advanceBy(STEP))
            .aggregate(
                Statistics::new,
                (entity, reading, window) -> window.add(reading),
                Materialized.<String, Statistics>as(Stores.inMemoryWindowStore(WINDOWS, SIZE.plus(GRACE), SIZE, false))
                    .withKeySerde(Serdes.String())
                    .withValueSerde(Statistics.SERDE)
                    .withCachingEnabled());
        events
            .processValues(Scorer::new, WINDOWS) // after the aggregate, since children are called in the order that they were added
            .to(System.getenv("BENCH_SCORES"), Produced.with(Serdes.String(), Serdes.ByteArray()));
        KafkaStreams streams = new KafkaStreams(builder.build(), settings());
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(5))));
        streams.start();
    }

    private static Properties settings() {
        Properties out = new Properties();
        out.put(StreamsConfig.APPLICATION_ID_CONFIG, RUN);
        out.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, System.getenv("BENCH_KAFKA"));
        out.put(StreamsConfig.STATE_DIR_CONFIG, System.getenv("BENCH_DIRECTORY"));
        out.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        out.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64 << 20);
        out.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, System.getenv("BENCH_GUARANTEE"));
        out.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        out.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5_000);
        out.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 << 20);
        out.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        return out;
    }
}
