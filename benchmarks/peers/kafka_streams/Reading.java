import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.IOException;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;

/** An event; read with Jackson's streaming parser, the fastest way that it has. */
record Reading(long ts, double temperature, double vibration, double pressure) {
    private static final JsonFactory JSON = JsonFactory.builder().enable(StreamReadFeature.USE_FAST_DOUBLE_PARSER).build();

    static final Deserializer<Reading> DESERIALIZER = (topic, bytes) -> {
        try (JsonParser parser = JSON.createParser(bytes)) {
            return read(parser);
        } catch (IOException error) {
            throw new SerializationException(error);
        }
    };

    private static Reading read(JsonParser parser) throws IOException {
        long ts = 0;
        double temperature = 0, vibration = 0, pressure = 0;
        parser.nextToken();
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            parser.nextToken();
            switch (name) {
                case "ts" -> ts = parser.getLongValue();
                case "temperature" -> temperature = parser.getDoubleValue();
                case "vibration" -> vibration = parser.getDoubleValue();
                case "pressure" -> pressure = parser.getDoubleValue();
                default -> parser.skipChildren();
            }
        }
        return new Reading(ts, temperature, vibration, pressure);
    }
}
