import java.nio.ByteBuffer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** Count, then mean, M2, min and max of each field over one window (Welford 1962); kept as 13 doubles. */
final class Statistics {
    static final int FIELDS = 3;
    private static final int DOUBLES = 1 + 4 * FIELDS;

    static final Serde<Statistics> SERDE = Serdes.serdeFrom(
        (topic, statistics) -> statistics == null ? null : statistics.bytes(),
        (topic, bytes) -> bytes == null ? null : new Statistics(bytes));

    private double count;
    private final double[] mean = new double[FIELDS];
    private final double[] m2 = new double[FIELDS];
    private final double[] min = new double[FIELDS];
    private final double[] max = new double[FIELDS];

    Statistics() {}

    private Statistics(byte[] bytes) {
        ByteBuffer in = ByteBuffer.wrap(bytes);
        count = in.getDouble();
        for (int f = 0; f < FIELDS; f++) {
            mean[f] = in.getDouble();
            m2[f] = in.getDouble();
            min[f] = in.getDouble();
            max[f] = in.getDouble();
        }
    }

    Statistics add(Reading reading) {
        count++;
        add(0, reading.temperature());
        add(1, reading.vibration());
        add(2, reading.pressure());
        return this;
    }

    private void add(int f, double x) {
        double delta = x - mean[f];
        mean[f] += delta / count;
        m2[f] += delta * (x - mean[f]);
        min[f] = count == 1 ? x : Math.min(min[f], x);
        max[f] = count == 1 ? x : Math.max(max[f], x);
    }

    private double std(int f) {
        return count < 2 ? 0 : Math.sqrt(m2[f] / (count - 1));
    }

    private byte[] bytes() {
        ByteBuffer out = ByteBuffer.allocate(8 * DOUBLES).putDouble(count);
        for (int f = 0; f < FIELDS; f++) {
            out.putDouble(mean[f]).putDouble(m2[f]).putDouble(min[f]).putDouble(max[f]);
        }
        return out.array();
    }

    /** What stands in Redis: the features. */
    byte[] vector() {
        ByteBuffer out = ByteBuffer.allocate(8 * DOUBLES).putDouble(count);
        for (int f = 0; f < FIELDS; f++) {
            out.putDouble(mean[f]).putDouble(std(f)).putDouble(min[f]).putDouble(max[f]);
        }
        return out.array();
    }

    /** What the anomaly model looks at: mean and standard deviation of each field. */
    void inputs(double[] into) {
        for (int f = 0; f < FIELDS; f++) {
            into[2 * f] = mean[f];
            into[2 * f + 1] = std(f);
        }
    }
}
